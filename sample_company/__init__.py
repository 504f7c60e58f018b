"""The sample company: an online record shop, its real purchases and its generated remainder."""
