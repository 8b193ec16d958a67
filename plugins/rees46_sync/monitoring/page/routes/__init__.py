"""The routes of the page, a module for each part of it."""
