"""What several test files share: tiny servers, tiny media, readers of pages."""
