"""Where records and files live; no scikit-learn in here."""
