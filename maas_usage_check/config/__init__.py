"""What the user wrote: YAML to frozen values, each error naming the key and the remedy."""
