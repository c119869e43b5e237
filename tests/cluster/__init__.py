"""Tests against a real Kubernetes API server; ``make test-cluster`` runs them."""
