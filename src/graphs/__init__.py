"""MXNet graphs: shapes, summaries, and rewrites that are applied when a graph is bound."""
