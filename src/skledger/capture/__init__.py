"""What is noted of a fit: from estimators and data to plain records, without any I/O."""
