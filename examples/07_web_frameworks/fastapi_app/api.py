"""Three endpoints (begin, look, cancel), and the REST API for operators under /butler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from tasks import Thumbnails, butler, make_thumbnails

from butler.aio import AsyncButler
from butler.errors import ExecutionNotFound
from butler.web import create_app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with butler.aio:
        yield


Jobs = Annotated[AsyncButler, Depends(lambda: butler.aio)]
app = FastAPI(lifespan=lifespan)
app.mount("/butler", create_app(butler))


@app.post("/thumbnails", status_code=202)
async def begin(request: Thumbnails, jobs: Jobs) -> dict[str, str]:
    handle = await jobs.enqueue(make_thumbnails, request, unique_key=request.image)
    return {"id": handle.id}


@app.get("/thumbnails/{job_id}")
async def look(job_id: str, jobs: Jobs) -> dict[str, Any]:
    execution = await jobs.get(job_id)
    if execution is None:
        raise HTTPException(404)
    return {"status": execution.status, "made": execution.result}


@app.delete("/thumbnails/{job_id}", status_code=202)
async def cancel(job_id: str, jobs: Jobs) -> dict[str, bool]:
    try:
        return {"cancelled": await jobs.cancel(job_id)}
    except ExecutionNotFound:
        raise HTTPException(404) from None
