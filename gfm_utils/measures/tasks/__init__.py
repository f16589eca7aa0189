"""Tasks: what representations and predictions are worth beyond counting, on held-out sequence with labels."""

from gfm_utils.measures.tasks.measuring import PRIMARY, TASK, read_tasks, task_performance, task_rows
from gfm_utils.measures.tasks.states import Reader

__all__ = ["PRIMARY", "TASK", "Reader", "read_tasks", "task_performance", "task_rows"]
