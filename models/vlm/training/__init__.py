"""Training: `pretrain` makes the small model's base, `finetune` the LoRA adapter of any base."""
