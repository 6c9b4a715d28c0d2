-- Forget a batch of limits' names that nobody needs; how many. The function of migration 0013.
SELECT {schema}.prune_limits(%(epoch)s::bigint, %(limit)s::integer)
