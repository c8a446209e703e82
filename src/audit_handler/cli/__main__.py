"""
``python -m audit_handler.cli``, for a system that has no ``audit-handler`` script on the path.
"""

from audit_handler.cli import main

if __name__ == "__main__":
    main(prog_name="audit-handler")
