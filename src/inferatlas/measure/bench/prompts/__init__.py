"""What is asked: prompts of a wanted length, data sets of conversations, and the bodies made of them."""
