"""Where a model fails: figures by slice, what it confuses, its mistakes, labels that are likely wrong."""
