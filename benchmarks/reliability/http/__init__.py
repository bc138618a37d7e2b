"""Whatever comes over HTTP, well made and not."""
