"""``/tasks``: what can be enqueued."""

from typing import Annotated

from fastapi import Query

from butler.api_tokens import Role
from butler.errors import UnknownTask
from butler.queue_names import DEFAULT_QUEUE
from butler.storage.records import TaskDefinition
from butler.web.callers import Caller
from butler.web.models.system import ShownTask, TaskList
from butler.web.problems import NOT_FOUND, Problem
from butler.web.routes import Resource
from butler.web.services import CallerDep, Web, WebDep

router = Resource("tasks")


@router.route_for("GET", "", role=Role.VIEWER)
async def find(
    web: WebDep,
    caller: CallerDep,
    tag: Annotated[str | None, Query(max_length=100)] = None,
) -> TaskList:
    """All tasks, by name, with the JSON Schemas of their requests and results."""
    tasks = await web.call(lambda: _visible(web, caller))
    shown = [task for task in tasks if tag is None or tag in task.tags]
    return TaskList.model_validate({"tasks": shown})


@router.route_for("GET", "/{task}", role=Role.VIEWER, answers=(404,))
async def get(task: str, web: WebDep, caller: CallerDep) -> ShownTask:
    """One task, by its name."""
    known = {each.name: each for each in await web.call(lambda: _visible(web, caller))}
    if task not in known:
        raise Problem(NOT_FOUND, str(UnknownTask(task, known)))
    return ShownTask.model_validate(known[task])


def _visible(web: Web, caller: Caller) -> list[TaskDefinition]:
    """What workers have announced, and what this process's own code has."""
    known = {task.name: task for task in web.butler.storage.task_definitions()}
    known |= {task.name: task for task in web.butler.tasks()}
    return [known[name] for name in sorted(known) if _holds(caller, known[name])]


def _holds(caller: Caller, task: TaskDefinition) -> bool:
    queue = task.options.get("queue", DEFAULT_QUEUE)
    return caller.scope.holds(queue=queue, tags=task.tags)
