"""``python -m audit_handler.cli``, for where the ``audit-handler`` script is not on the path."""

from audit_handler.cli import main

if __name__ == "__main__":
    main(prog_name="audit-handler")
