"""The command line `latent`; commands import what they need when they run."""
