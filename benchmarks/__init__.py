"""How does the toolkit stand beside its peers and on data that can't be committed?"""
