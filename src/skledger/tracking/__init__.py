"""When and whose: experiments, runs and the fluent API over a store."""
