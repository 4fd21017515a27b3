"""The centre: takes facts and footage, proves what it stores, signs receipts."""
