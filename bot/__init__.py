"""Turns a question into a cited answer and puts it where people ask."""
