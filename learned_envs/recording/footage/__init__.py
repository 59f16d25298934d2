"""Videos with logged inputs as episodes, and back."""
