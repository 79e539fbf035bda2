"""Pure facts and rules of the field: identifiers, statuses, windows, resolution, errors."""
