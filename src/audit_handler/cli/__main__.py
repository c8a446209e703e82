"""``python -m audit_handler.cli``, where the command itself is not on the path."""

from audit_handler.cli import main

if __name__ == "__main__":
    main(prog_name="audit-handler")
