"""Where studies are: opening a storage by its URL, and what makes each kind fast and safe."""
