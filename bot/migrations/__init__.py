"""How the database came to look as `bot.tables` says, one step a file. `Store.open` runs them."""
