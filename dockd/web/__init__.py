"""What the pages of dock and centre share: templates, styles, problem answers, request checks."""
