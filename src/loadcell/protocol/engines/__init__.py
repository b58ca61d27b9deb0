"""The APIs that inference engines have of their own, beside the common ones."""
