"""The prompt formats, one file each."""
