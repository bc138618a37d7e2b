"""`model.generate` of transformers, and what makes it quick."""
