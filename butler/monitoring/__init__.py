"""How Butler's processes show themselves: probes, and numbers for Prometheus."""
