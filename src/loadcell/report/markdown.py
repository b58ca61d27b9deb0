"""A run or a sweep as GitHub-flavoured Markdown, for a pull request or an issue: the verdict first."""

from loadcell.report.markdown_run import run_markdown
from loadcell.report.markdown_sweep import sweep_markdown

__all__ = ["run_markdown", "sweep_markdown"]
