class TrainerError(Exception):
    """A fault that the person at the keyboard can fix. Shown as one line, without a stack trace."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n  hint: {hint}")
