"""Kills the main job at random moments until it is done, and checks that nothing is wrong afterwards."""
