self: { }
