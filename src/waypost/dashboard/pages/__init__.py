"""The pages, a module for each part of the site. Each module lists its handlers in `HANDLERS`."""
