"""The OpenAI-compatible APIs, chat and completions, as the servers that people run speak them."""
