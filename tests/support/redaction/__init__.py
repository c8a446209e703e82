"""Made-up cases of redaction, by theme; ``tests.support.redaction_cases`` puts them together."""
