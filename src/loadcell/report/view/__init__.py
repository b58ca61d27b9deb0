"""What a report says, in blocks that a terminal, Markdown and a page show each in their own way."""
