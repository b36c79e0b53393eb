"""Files as they must be treated where nothing may be lost: read with bounds (`reading`), replaced
as a whole (`writing`), appended to line by line (`lines`)."""
