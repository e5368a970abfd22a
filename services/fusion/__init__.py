"""The fusion service: findings and answers in, one risk out."""
