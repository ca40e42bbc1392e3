"""How the database came to look as `bot.store.tables` says, one step a file. `Store.open` runs them."""
