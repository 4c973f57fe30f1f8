"""What goes into exports as it is: programs that need nothing of the studio's, a page, and the browser's engine."""
