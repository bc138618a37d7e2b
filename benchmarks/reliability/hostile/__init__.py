"""Files that mean harm, given to what a host or a visitor gives files to."""
