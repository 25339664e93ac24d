"""What goes beyond the paper, measured beside the paper's own choice: rows as CSV, a picture from rows alone."""
