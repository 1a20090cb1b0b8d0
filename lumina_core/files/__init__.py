"""Files and folders that are whole or not there, read with bounds, written under locks."""
