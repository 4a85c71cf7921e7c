"""evaluation/report.html: all that a run did and found, on one page that needs nothing else."""
