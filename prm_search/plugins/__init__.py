"""Rewards for training frameworks, each by the signature that it asks for.

None of the frameworks is imported: what they call is an ordinary function or object. Only verl's
entry point, which verl loads, looks verl up.
"""
